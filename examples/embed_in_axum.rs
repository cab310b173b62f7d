//! PetSpark inside somebody else's axum application: its routes under `/backend`, and a route of
//! one's own that asks the library directly.
//!
//!     cargo run -p petspark-examples --bin embed_in_axum
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use axum::extract::State;
use axum::routing::get;
use axum::{Router, http::StatusCode};
use petspark_core::{PetSpark, config::Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let petspark = PetSpark::open(Settings::default()).await?;
    let app = Router::new()
        .route("/", get(welcome))
        .with_state(petspark.clone())
        .nest("/backend", petspark_http::router(petspark));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("Listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn welcome(State(petspark): State<PetSpark>) -> Result<String, StatusCode> {
    let pets = petspark.pets().count().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{pets} pets are looking for somebody\n"))
}
