//! A server that is killed at the worst moment: in the middle of a job, between a renewed session and
//! the answer that tells of it, and between what Stripe did and our writing it down.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use petspark_core::testing::stripe::Fault;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::billing::Stripe;
use crate::durability::{ADA, Client};
use crate::serve::start;
use crate::support::{Place, on_both, signal};

/// Long enough for any machine; ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Takes one mail as an SMTP server does, and gives its text.
fn take_mail(stream: TcpStream) -> std::io::Result<String> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 ready\r\n")?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if !line.starts_with("DATA") {
            stream.get_mut().write_all(b"250 go on\r\n")?;
            continue;
        }
        stream.get_mut().write_all(b"354 go on\r\n")?;
        let mut text = String::new();
        while !text.ends_with("\r\n.\r\n") {
            stream.read_line(&mut text)?;
        }
        stream.get_mut().write_all(b"250 taken\r\n")?;
        return Ok(text);
    }
}

/// Sends a request and waits until its answer has begun to arrive: what it did is done.
fn until_answered(address: &str, path: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    stream
}

fn states(place: &Place) -> Vec<String> {
    let jobs = place.ok("job list --limit 100 --json").json();
    let mails = jobs["jobs"].as_array().unwrap().iter().filter(|job| job["kind"] == "mail.send");
    mails.map(|job| job["state"].as_str().unwrap().to_owned()).collect()
}

on_both! {
    fn the_job_of_a_killed_server_is_finished_by_another(place) {
        let mail_server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", mail_server.local_addr().unwrap());
        let place = place.with("SMTP_URL", &url).with("PETSPARK__JOBS__LEASE", "5s");
        place.ok("migrate run");
        place.user("ada@example.org", "");
        place.ok("user reset-link ada@example.org --send");
        let (mut victim, _) = start(&place, "");
        // It has connected, and waits for a greeting that never comes.
        let (silent, _) = mail_server.accept().unwrap();
        assert_eq!(states(&place), ["running"]);
        signal(&victim, Signal::KILL);
        victim.wait().unwrap();
        drop(silent);
        assert_eq!(states(&place), ["running"], "as far as anybody knows");

        let (mut other, _) = start(&place, "");
        let (taken, mail) = mpsc::channel();
        std::thread::spawn(move || taken.send(take_mail(mail_server.accept().unwrap().0).unwrap()));
        let mail = mail.recv_timeout(PATIENCE).unwrap();
        assert!(mail.contains("To: ada@example.org\r\n"), "{mail}");
        // In good order, so that what was begun is finished.
        signal(&other, Signal::TERM);
        other.wait().unwrap();
        assert_eq!(states(&place), [""; 0]);
    }

    fn who_was_subscribing_when_the_server_died_has_one_subscription_and_one_customer(place) {
        let stripe = Stripe::start();
        let place = stripe.keys(place.unlimited()).with("PETSPARK__BILLING__STRIPE__TIMEOUT", "2m");
        let (victim, address) = start(&place, "--migrate");
        place.ok("billing sync");
        let ada: Value = serde_json::from_str(ADA).unwrap();
        let (_, session) = Client::connect(&address).call("POST", "/api/v1/auth/register", "", &ada).unwrap();
        let token = session["data"]["accessToken"].as_str().unwrap().to_owned();
        let wanted = json!({ "priceId": stripe.price() });
        let subscribe = |address: &str| Client::connect(address).call("POST", "/api/v1/payments/subscription", &token, &wanted);
        let mut victim = Some(victim);
        let mut address = address;
        // First between making the customer there and knowing it here, then the same with the subscription.
        for (n, call) in ["POST /v1/customers", "POST /v1/subscriptions"].into_iter().enumerate() {
            stripe.stripe.fail_next_at(call, 1, Fault::DoneThenDelayed);
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| subscribe(&address));
                stripe.wait_for_a_held_call();
                let mut dying = victim.take().unwrap();
                signal(&dying, Signal::KILL);
                dying.wait().unwrap();
                assert!(asking.join().unwrap().is_err(), "it was answered");
            });
            assert_eq!(stripe.stripe.objects("customer").len(), 1);
            assert_eq!(stripe.stripe.objects("subscription").len(), n);
            let (next, at) = start(&place, "");
            (victim, address) = (Some(next), at);
        }
        // Whoever asks again has the one that was made, and can pay it.
        let (status, answer) = subscribe(&address).unwrap();
        assert_eq!(status, 201, "{answer}");
        let made = stripe.stripe.objects("subscription");
        assert_eq!((made.len(), &made[0]["id"]), (1, &answer["data"]["id"]));
        assert!(answer["data"]["clientSecret"].is_string(), "{answer}");
        assert_eq!(stripe.stripe.objects("customer").len(), 1);
        assert_eq!(place.ok("billing sync --json").json()["differences"], json!([]));
        signal(victim.as_ref().unwrap(), Signal::TERM);
    }

    fn a_client_whose_server_died_before_it_answered_renews_its_session_with_the_same_token(place) {
        let place = place.unlimited();
        let (mut victim, address) = start(&place, "--migrate");
        let ada: Value = serde_json::from_str(ADA).unwrap();
        let (_, session) = Client::connect(&address).call("POST", "/api/v1/auth/register", "", &ada).unwrap();
        let first = json!({ "refreshToken": session["data"]["refreshToken"] });
        let mut unread = until_answered(&address, "/api/v1/auth/refresh", &first);
        signal(&victim, Signal::KILL);
        victim.wait().unwrap();

        let (server, address) = start(&place, "");
        let renew = |body: &Value| Client::connect(&address).call("POST", "/api/v1/auth/refresh", "", body).unwrap();
        let (status, again) = renew(&first);
        assert_eq!(status, 200, "{again}");
        let successor = again["data"]["refreshToken"].as_str().unwrap();
        // What the client never read, and we may for once.
        let mut lost = String::new();
        let _ = unread.read_to_string(&mut lost);
        assert!(lost.contains(successor), "the same successor: {lost}");
        assert_eq!(renew(&first).1["data"]["refreshToken"].as_str(), Some(successor));
        let access = again["data"]["accessToken"].as_str().unwrap();
        assert_eq!(Client::connect(&address).call("GET", "/api/v1/auth/me", access, &json!({})).unwrap().0, 200);
        assert_eq!(renew(&json!({ "refreshToken": successor })).0, 200, "and it goes on");
        signal(&server, Signal::TERM);
    }
}
