//! What an event of Stripe's costs to take in, its signature checked and the job for it enqueued, and what it
//! costs to know what somebody may have.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixture::{ENGINES, Fixture, runtime};
use futures_util::future::join_all;
use petspark_core::billing::NewGrant;
use petspark_core::testing::stripe::signature;
use petspark_core::{Caller, PetSpark, Secret};

const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";

/// Events that are under way together.
const AT_ONCE: u64 = 64;

/// An event as long as most are.
fn event(n: u64) -> String {
    let filling = "x".repeat(3000);
    format!(
        r#"{{"id":"evt_{n}","object":"event","type":"customer.subscription.updated","created":1795384178,"livemode":false,
        "data":{{"object":{{"id":"sub_{n}","object":"subscription","customer":"cus_{n}","description":"{filling}"}}}}}}"#
    )
}

/// The same database, with keys. Nobody is asked.
fn with_keys(fixture: &Fixture, cache_ttl: Duration) -> impl Future<Output = PetSpark> {
    fixture.app.another_with(move |settings| {
        let billing = &mut settings.billing;
        billing.stripe.secret_key = Some(Secret::new("sk_test_bench"));
        billing.stripe.webhook_secret = Some(Secret::new(SECRET));
        billing.stripe.api_base = "http://127.0.0.1:9".parse().ok();
        billing.cache_ttl = cache_ttl;
    })
}

fn billing(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("billing");
    for (engine, name) in ENGINES {
        let fixture = Fixture::new(&runtime, engine);
        let now = fixture.app.clock.now().as_seconds();
        let petspark = runtime.block_on(with_keys(&fixture, Duration::from_secs(60)));
        let (caller, mut n) = (Caller::anonymous(), 0);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("webhook/{name}"), |bencher| {
            bencher.to_async(&runtime).iter_batched(
                || {
                    n += 1;
                    let body = event(n);
                    let header = signature(SECRET, now, body.as_bytes());
                    (body, header)
                },
                |(body, header)| {
                    let (billing, caller) = (petspark.billing(), &caller);
                    async move { billing.receive(caller, body.as_bytes(), &header).await.expect("a new event") }
                },
                criterion::BatchSize::SmallInput,
            );
        });

        // As Stripe sends them: it doesn't wait for the last before it sends the next.
        group.throughput(Throughput::Elements(AT_ONCE));
        group.bench_function(format!("webhook/{AT_ONCE} at once/{name}"), |bencher| {
            bencher.to_async(&runtime).iter_batched(
                || {
                    let signed = |n| {
                        let body = event(n);
                        let header = signature(SECRET, now, body.as_bytes());
                        (body, header)
                    };
                    n += AT_ONCE;
                    (n - AT_ONCE + 1..=n).map(signed).collect::<Vec<_>>()
                },
                |events| {
                    let (billing, caller) = (petspark.billing(), &caller);
                    async move {
                        let receive = async |(body, header): &(String, String)| {
                            billing.receive(caller, body.as_bytes(), header).await.expect("a new event")
                        };
                        join_all(events.iter().map(receive)).await
                    }
                },
                criterion::BatchSize::SmallInput,
            );
        });

        group.throughput(Throughput::Elements(1));
        let user = fixture.user.id;
        let grant = NewGrant { user, plan: "premium".to_owned(), reason: "bench".to_owned(), until: None };
        runtime.block_on(petspark.billing().grant(&Caller::system(), grant)).expect("a grant");
        group.bench_function(format!("entitlements/remembered/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async { petspark.billing().entitlements(user).await.expect("a plan") });
        });
        let forgetful = runtime.block_on(with_keys(&fixture, Duration::ZERO));
        group.bench_function(format!("entitlements/looked_up/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async { forgetful.billing().entitlements(user).await.expect("a plan") });
        });
    }
    group.finish();
}

criterion_group!(benches, billing);
criterion_main!(benches);
