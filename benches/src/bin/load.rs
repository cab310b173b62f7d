//! Puts load on a server of this machine and reports what it took:
//! `load --connections 8 --seconds 5 --token-file token http://127.0.0.1:3000/api/v1/pets`.
#![allow(clippy::print_stdout, reason = "the report is what this program is for")]

use std::error::Error;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use petspark_benches::load::{Bodies, Head, Plan, Target};

fn command() -> Command {
    Command::new("load")
        .about("A closed-loop HTTP/1.1 load generator for servers on the loopback")
        .arg(Arg::new("url").required(true).value_parser(value_parser!(Target)))
        .arg(
            option("connections", "How many at the same time")
                .default_value("8")
                .value_parser(value_parser!(u32).range(1..=1024)),
        )
        .arg(option("seconds", "How long").default_value("5").value_parser(value_parser!(u64).range(1..=600)))
        .arg(option("rate", "How many a second at most, all connections together").value_parser(value_parser!(u32)))
        .arg(option("method", "GET, POST and so on").default_value("GET"))
        .arg(option("header", "A line as `Name: value`; can be repeated").action(ArgAction::Append))
        .arg(option("token-file", "A file with a bearer token"))
        .arg(option("bodies-file", "A file with a JSON body a line; they are sent in turn"))
        .arg(
            option("refresh-tokens-file", "A file with a refresh token a line; each session is renewed time and again")
                .conflicts_with("bodies-file"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Report as JSON"))
}

fn option(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(name.to_uppercase()).help(about)
}

fn plan(args: &ArgMatches) -> Result<Option<Plan>, Box<dyn Error>> {
    let text = |name| args.get_one::<String>(name);
    let (Some(target), Some(connections), Some(seconds), Some(method)) = (
        args.get_one::<Target>("url"),
        args.get_one::<u32>("connections"),
        args.get_one::<u64>("seconds"),
        text("method"),
    ) else {
        return Ok(None);
    };
    let mut headers: Vec<String> = args.get_many("header").into_iter().flatten().cloned().collect();
    if let Some(file) = text("token-file") {
        headers.push(format!("Authorization: Bearer {}", std::fs::read_to_string(file)?.trim()));
    }
    let lines = |file: &String| std::fs::read_to_string(file).map(|text| text.lines().map(str::to_owned).collect());
    let bodies = match (text("bodies-file"), text("refresh-tokens-file")) {
        (Some(file), _) => Bodies::InTurn(lines(file)?),
        (None, Some(file)) => Bodies::RefreshTokens(lines(file)?),
        (None, None) => Bodies::None,
    };
    Ok(Some(Plan {
        head: Head { target: target.clone(), method: method.clone(), headers },
        bodies,
        connections: *connections,
        duration: Duration::from_secs(*seconds),
        rate: args.get_one("rate").copied(),
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = command().get_matches();
    let plan = plan(&args)?.ok_or("an argument without a value")?;
    let report = plan.run().await;
    if args.get_flag("json") {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
