//! What a password costs: hashing it at registration, checking it at login, and Argon2id alone.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use std::cell::Cell;
use std::hint::black_box;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{Fixture, runtime};
use petspark_core::auth::{Client, NewAccount, Password};
use petspark_core::testing::{Engine, TestApp};

fn password(criterion: &mut Criterion) {
    let runtime = runtime();
    let Fixture { app, .. } = Fixture::new(&runtime, Engine::Sqlite);
    let mut group = criterion.benchmark_group("password");
    group.sample_size(20);

    let params = Params::new(19_456, 2, 1, Some(32)).expect("valid parameters");
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    group.bench_function("argon2id alone", |bencher| {
        bencher.iter(|| {
            let mut tag = [0; 32];
            let (password, salt) = (black_box(TestApp::PASSWORD.as_bytes()), b"0123456789abcdef");
            argon2.hash_password_into_with_memory(password, salt, &mut tag, &mut memory).expect("a hash");
            tag
        });
    });
    let registered = Cell::new(0);
    group.bench_function("register", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            registered.set(registered.get() + 1);
            let account = NewAccount {
                email: format!("user{}@example.org", registered.get()),
                password: Password::new(TestApp::PASSWORD),
                display_name: "Ada".to_owned(),
            };
            let auth = app.petspark.auth();
            async move { auth.register(account, Client::default()).await.expect("a new user") }
        });
    });
    group.bench_function("login", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let password = Password::new(TestApp::PASSWORD);
            app.petspark.auth().login("ada@example.org", password, Client::default()).await.expect("a session")
        });
    });
    group.finish();
}

criterion_group!(benches, password);
criterion_main!(benches);
