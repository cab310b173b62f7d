//! What a whole signed-in request costs, from the router's edge to the bytes of its answer;
//! `pets` without HTTP is what it adds to.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{ENGINES, Fixture, runtime};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tower::ServiceExt;

fn router(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("router");
    for (engine, name) in ENGINES {
        let Fixture { app, user, pet } = Fixture::new(&runtime, engine);
        let router = petspark_http::router(app.petspark.clone());
        let bearer = format!("Bearer {}", user.signed_in.tokens.access.expose());
        group.bench_function(format!("get a pet/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let request = Request::get(format!("/api/v1/pets/{pet}")).header("authorization", &bearer);
                let request = request.body(Empty::<Bytes>::new()).expect("a request");
                // What a server does with each request: a clone of the router serves it.
                let response = router.clone().oneshot(request.map(axum::body::Body::new)).await.expect("an answer");
                assert_eq!(response.status(), StatusCode::OK);
                response.into_body().collect().await.expect("a body").to_bytes()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, router);
criterion_main!(benches);
