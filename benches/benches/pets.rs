//! What reading pets costs, on both engines, without HTTP.
#![allow(missing_docs, clippy::expect_used, reason = "a bench that can't be set up must fail")]

mod fixture;

use criterion::{Criterion, criterion_group, criterion_main};
use fixture::{ENGINES, Fixture, runtime};
use petspark_core::PageRequest;
use petspark_core::pets::PetFilter;

fn pets(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("pets");
    for (engine, name) in ENGINES {
        let Fixture { app, user, pet } = Fixture::new(&runtime, engine);
        let pets = app.petspark.pets();
        group.bench_function(format!("get/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async { pets.get(&user.caller, pet).await.expect("the pet") });
        });
        group.bench_function(format!("list/{name}"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                pets.list(&user.caller, PetFilter::default(), &PageRequest::default()).await.expect("a page")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pets);
criterion_main!(benches);
