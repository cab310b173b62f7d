//! What a token costs: verifying one, as every request does, and getting the next one.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use std::cell::RefCell;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{ENGINES, Fixture, runtime};
use petspark_core::testing::Engine;

fn verify(criterion: &mut Criterion) {
    let runtime = runtime();
    let Fixture { app, user, .. } = Fixture::new(&runtime, Engine::Sqlite);
    let token = user.signed_in.tokens.access;
    // The engine doesn't matter: the session's state is in memory after the first time.
    criterion.bench_function("token/verify", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { app.petspark.auth().authenticate(token.expose()).await.expect("a caller") });
    });
}

fn refresh(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("token");
    for (engine, name) in ENGINES {
        let Fixture { app, user, .. } = Fixture::new(&runtime, engine);
        let latest = RefCell::new(user.signed_in.tokens.refresh);
        group.bench_function(format!("refresh/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let current = latest.borrow().clone();
                let next = app.petspark.auth().refresh(current.expose()).await.expect("the next tokens");
                *latest.borrow_mut() = next.refresh;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verify, refresh);
criterion_main!(benches);
