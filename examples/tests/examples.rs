//! Every example is run as its reader would run it, in an empty folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

fn example(path: &str, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

#[test]
fn the_library_is_embedded_in_twenty_lines() {
    let folder = tempfile::tempdir().unwrap();
    let run = example(env!("CARGO_BIN_EXE_embed_core"), folder.path()).output().unwrap();
    assert!(run.status.success());
    assert_eq!(String::from_utf8(run.stdout).unwrap(), "Rex is a dog of Ada\n");
    let source = include_str!("../embed_core.rs");
    let body = source.split_once("let petspark").unwrap().1;
    assert!(body.lines().count() <= 20);
}

#[test]
fn an_axum_application_has_petspark_under_its_own_roof() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        example(env!("CARGO_BIN_EXE_embed_in_axum"), folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("Listening on http://").unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answers = (get("/"), get("/backend/readyz"), get("/backend/api/v1/pets"), get("/backend/nothing"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(answers.0.ends_with("0 pets are looking for somebody\n"), "{}", answers.0);
    assert!(answers.1.starts_with("HTTP/1.1 200") && answers.1.contains("\"status\":\"ready\""), "{}", answers.1);
    assert!(answers.2.starts_with("HTTP/1.1 401") && answers.2.contains("AUTH_006"), "{}", answers.2);
    assert!(answers.3.starts_with("HTTP/1.1 404") && answers.3.contains("ROUTE_NOT_FOUND"), "{}", answers.3);
}

/// The tool of one's own, run in a folder.
fn own(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = example(env!("CARGO_BIN_EXE_own_admin_cli"), folder).args(args).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_tool_of_ones_own_has_its_commands_and_all_of_ours_but_the_one_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| own(folder.path(), args);
    let (code, help) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["clinic", "serve", "migrate", "user", "config", "check"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in\n{help}");
    }
    assert_eq!(run(&["seed"]).0, Some(2));
    assert_eq!(run(&["user", "create", "ada@example.org", "--generate"]).0, Some(0));
    let (code, json) = run(&["clinic", "waiting-room", "--format", "jsonl"]);
    assert_eq!((code, json.as_str()), (Some(0), "{\"schema\":\"clinic.waiting-room/v1\",\"pets\":0,\"people\":1}\n"));
}

#[test]
fn its_check_is_run_beside_ours() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(own(folder.path(), &["check", "--only", "x.clinic.*"]).0, Some(12), "there is no database");
    assert_eq!(own(folder.path(), &["migrate", "run"]).0, Some(0));
    let (code, results) = own(folder.path(), &["check", "--format", "jsonl"]);
    assert_eq!(code, Some(0), "{results}");
    assert!(results.contains(r#"{"id":"x.clinic.room","items":[],"title":"all pets fit into the waiting room","severity":"warn","status":"pass","observed":"0 pets""#), "{results}");
    assert!(results.contains(r#"{"id":"db.migrations""#), "{results}");
}

#[test]
fn its_scheduled_job_is_done_by_its_command_and_by_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("petspark-data/waiting-room.txt");
    assert_eq!(own(folder.path(), &["migrate", "run"]).0, Some(0));
    assert_eq!(own(folder.path(), &["clinic", "rounds"]).0, Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0 pets\n");
    // It is due again in an hour; in another installation it is due at once, and whoever reads this
    // waits until somebody writes.
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(own(folder.path(), &["migrate", "run"]).0, Some(0));
    let file = folder.path().join("petspark-data/waiting-room.txt");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let mut server = example(env!("CARGO_BIN_EXE_own_admin_cli"), folder.path());
    let mut server = server.args(["serve", "--port", "0"]).stdout(Stdio::null()).spawn().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(std::fs::read_to_string(file)));
    let written = told.recv_timeout(std::time::Duration::from_secs(60));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(written.unwrap().unwrap(), "0 pets\n");
}
