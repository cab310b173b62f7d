//! The library alone: an account, a pet, and the pet read back. No server, no settings.
//!
//!     cargo run -p petspark-examples --bin embed_core
#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use petspark_core::auth::{Client, NewAccount, Password, Registered};
use petspark_core::pets::{PetFields, PetFilter, Species};
use petspark_core::{PageRequest, PetSpark, config::Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let petspark = PetSpark::open(Settings::default()).await?;
    let account = NewAccount {
        email: "ada@example.org".into(),
        password: Password::new("correct horse battery"),
        display_name: "Ada".into(),
    };
    let Registered::SignedIn(ada) = petspark.auth().register(account, Client::default()).await? else {
        println!("A mail was sent to Ada.");
        return Ok(());
    };
    let caller = petspark.auth().authenticate(ada.tokens.access.expose()).await?;
    petspark.pets().create(&caller, PetFields::new("Rex", Species::Dog)).await?;
    for pet in petspark.pets().list(&caller, PetFilter::default(), &PageRequest::default()).await?.items {
        println!("{} is a {} of {}", pet.name, pet.species, pet.owner_display_name);
    }
    petspark.close().await;
    Ok(())
}
