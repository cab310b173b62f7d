//! A second opinion: what it has in common with localstripe, which others wrote, it does as that does.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::stripe;

/// The folder that a script gets by pip.
async fn library(script: &str) -> String {
    let script = format!("{}/../scripts/{script}", env!("CARGO_MANIFEST_DIR"));
    let library = Command::new(script).output().await.unwrap();
    assert!(library.status.success(), "{}", String::from_utf8_lossy(&library.stderr));
    String::from_utf8(library.stdout).unwrap().trim_end().to_owned()
}

fn python(library: &str, program: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg(format!("{}/tests/core/stripe/{program}", env!("CARGO_MANIFEST_DIR")));
    python.env("PYTHONPATH", library).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    python
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_cards_and_refunds_are_what_localstripe_takes_them_for() {
    let (own_library, second_library) = (library("stripe-sdk").await, library("localstripe").await);
    let stripe = stripe().await;
    let mut second = python(&second_library, "second_server.py").stdout(Stdio::piped()).spawn().unwrap();
    let port = BufReader::new(second.stdout.take().unwrap()).lines().next_line().await.unwrap();
    let second_address = format!("http://127.0.0.1:{}", port.expect("localstripe didn't start, see above"));
    let mut told = Vec::new();
    for address in [stripe.url().as_str(), &second_address] {
        let mut caller = python(&own_library, "second_caller.py");
        let seen = caller.args([address, stripe.secret_key().expose()]).output().await.unwrap();
        assert!(seen.status.success(), "{address}: {}", String::from_utf8_lossy(&seen.stderr));
        told.push(String::from_utf8(seen.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(told[0], told[1], "ours at the left");
    assert!(told[0].len() > 15, "{told:?}");
}
