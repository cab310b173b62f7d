//! The TypeScript that docs/AUTH.md shows does what is said of it, against a real server.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use petspark_core::auth::{Client, Password};
use petspark_core::{Clock, Migrate, PetSpark};
use rustix::process::Signal;

use crate::docs::document;
use crate::serve::start;
use crate::support::{Place, Ran, block_on, on_both, signal};

/// Compiles the document's one block of TypeScript into `session.mjs`.
fn compile(place: &Place) {
    let guide = document("docs/AUTH.md");
    let blocks: Vec<&str> = guide.split("```ts\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 1);
    place.write("session.mts", blocks[0]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/typescript");
    let found = Ran::of(Command::new(script).output().unwrap()).expect(0);
    let options = "--strict --noEmitOnError --module es2022 --target es2022 --lib es2022,dom session.mts";
    let mut tsc = Command::new("node");
    tsc.arg(found.stdout.trim()).args(options.split(' ')).current_dir(place.path());
    Ran::of(tsc.output().unwrap()).expect(0);
}

/// What somebody has who signed in an hour ago and hasn't been here since: an access token that
/// has expired, and a refresh token that hasn't.
fn signed_in_an_hour_ago(place: &Place, email: &str) -> serde_json::Value {
    let made = place.user(email, "");
    let password = Password::new(made["password"].as_str().unwrap());
    block_on(async {
        let an_hour_ago = Clock::manual(Clock::system().now().before(Duration::from_secs(3600)));
        let petspark = PetSpark::open_with(place.settings(), Migrate::Never, an_hour_ago).await.unwrap();
        let tokens = petspark.auth().login(email, password, Client::default()).await.unwrap().tokens;
        petspark.close().await;
        serde_json::json!({ "accessToken": tokens.access.expose(), "refreshToken": tokens.refresh.expose() })
    })
}

on_both! {
    fn the_session_of_the_guide_renews_itself_once_for_all_calls_and_ends_once(place) {
        compile(&place);
        let (server, address) = start(&place, "--migrate");
        let tokens = signed_in_an_hour_ago(&place, "ada@example.org");
        place.write("tokens.json", &tokens.to_string());
        let scenes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/frontend.mjs");
        let mut node = Command::new("node");
        node.arg(scenes).arg(place.path().join("session.mjs")).arg(format!("http://{address}/api/v1"));
        node.arg("ada@example.org").stdin(Stdio::from(std::fs::File::open(place.path().join("tokens.json")).unwrap()));
        let ran = Ran::of(node.output().unwrap()).expect(0);
        assert_eq!(ran.stdout.trim(), "every scene was played");
        signal(&server, Signal::TERM);
    }
}
