//! What a token costs: verifying one, as every request does, and getting the next one.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use std::cell::RefCell;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{ENGINES, Fixture, runtime};
use petspark_core::auth::KeyStep;
use petspark_core::testing::Engine;
use petspark_core::{Caller, Origin};

/// By secret and by Ed25519 key; each for a token that was seen before, as nearly all are, and
/// for one that is new.
fn verify(criterion: &mut Criterion) {
    let runtime = runtime();
    // The engine doesn't matter: the session's state is in memory after the first time.
    let Fixture { app, user, .. } = Fixture::new(&runtime, Engine::Sqlite);
    let auth = app.petspark.auth();
    let by_secret = user.signed_in.tokens.access;
    let by_key = runtime.block_on(async {
        let operator = Caller::operator("bench");
        let made = auth.change_keys(&operator, &KeyStep::Generate).await.expect("a key").made.expect("a key");
        auth.change_keys(&operator, &KeyStep::Promote { kid: made.kid, force: true }).await.expect("to sign with it");
        auth.refresh(user.signed_in.tokens.refresh.expose(), Origin::default()).await.expect("the next tokens").access
    });
    let mut group = criterion.benchmark_group("token/verify");
    for (name, token) in [("hs256", by_secret), ("eddsa", by_key)] {
        group.bench_function(format!("{name}/seen"), |bencher| {
            bencher.to_async(&runtime).iter(|| async { auth.authenticate(token.expose()).await.expect("a caller") });
        });
        group.bench_function(format!("{name}/new"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                auth.forget_tokens_for_tests();
                auth.authenticate(token.expose()).await.expect("a caller")
            });
        });
    }
    group.finish();
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
                let next = app
                    .petspark
                    .auth()
                    .refresh(current.expose(), petspark_core::Origin::default())
                    .await
                    .expect("the next tokens");
                *latest.borrow_mut() = next.refresh;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verify, refresh);
criterion_main!(benches);
