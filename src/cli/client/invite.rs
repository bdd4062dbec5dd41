//! `strandwatch client invite`, `confirm`, `refuse`: the running daemon does it, and this shows it.

use anyhow::Context;
use serde_json::Value;

use super::GrantArguments;
use super::credential::{Address, qr};
use super::desk::Desk;
use crate::cli::output::say;
use crate::cli::{Exit, Failure, OrExit, Outcome};
use crate::mqtt::enrolment::{Ask, Code, LONGEST_MINUTES, ask};
use crate::mqtt::managed::Settings;
use crate::mqtt::provision::ProvisionError;
use secrecy::ExposeSecret;

/// Arguments of `strandwatch client invite`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    grant: GrantArguments,
    /// For how long, 1 to 60
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(LONGEST_MINUTES)))]
    minutes: u32,
}

/// Arguments of `strandwatch client confirm`.
#[derive(clap::Args)]
pub(super) struct Confirm {
    /// The number that both ends show
    number: Option<String>,
}

/// Arguments of `strandwatch client refuse`.
#[derive(clap::Args)]
pub(super) struct Refuse {
    /// The number that it shows, or the first four characters of the code
    which: String,
}

fn own(desk: &Desk) -> Result<&Settings, Failure> {
    desk.managed
        .as_ref()
        .context("invitations need Strandwatch's own broker (mqtt.broker = \"managed\"), as only there it can make accounts; `strandwatch client add` prints what to write at yours")
        .or_exit(Exit::Usage)
}

async fn put(desk: &Desk, question: Ask) -> Result<Value, Failure> {
    match ask(own(desk)?, question).await {
        Err(error @ ProvisionError::Declined(_)) => Err(error).or_exit(Exit::ProblemsFound),
        other => other.or_exit(Exit::Unreachable),
    }
}

pub(super) async fn invite(desk: &Desk, arguments: &Arguments, as_json: bool) -> Outcome {
    let grant = desk.grant(&arguments.grant.rights, &arguments.grant.printers)?;
    let minutes = arguments.minutes;
    let mut told = put(desk, Ask::Invite { grant, minutes }).await?;
    let settings = own(desk)?;
    let address = Address::of(settings)?;
    let text = told["code"].as_str().unwrap_or_default().to_owned();
    let code = Code::parse(&text).or_exit(Exit::Internal)?;
    let login = format!("{}:{}", code.account(), code.password().expose_secret());
    let uri = format!("{}&code={code}", address.uri(&login, desk.access.base.as_str()));
    if as_json {
        told["uri"] = uri.into();
        told["host"] = address.host.into();
        told["port"] = address.port.into();
        told["ca_sha256"] = address.authority.into();
        say(told);
        return Ok(Exit::Well);
    }
    say(format_args!("  code         {code}"));
    say(format_args!("  host         {}", address.host));
    say(format_args!("  port         {}", address.port));
    if let Some(hash) = &address.authority {
        say(format_args!("  fingerprint  {hash}"));
    }
    say("");
    say(qr(&uri)?);
    say(format_args!(
        "It is open for {minutes} min and for one newcomer, and stands on the printer's console as well. When the newcomer\n\
         shows a number, compare: `strandwatch client confirm` shows who waits, `strandwatch client confirm NUMBER` lets in."
    ));
    Ok(Exit::Well)
}

pub(super) async fn confirm(desk: &Desk, arguments: Confirm, as_json: bool) -> Outcome {
    let Some(number) = arguments.number else {
        let waiting = put(desk, Ask::Waiting).await?;
        if as_json {
            say(serde_json::json!({ "waiting": waiting }));
            return Ok(Exit::Well);
        }
        let rows = waiting.as_array().cloned().unwrap_or_default();
        if rows.is_empty() {
            say("Nobody waits.");
        }
        for row in rows {
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            say(format_args!(
                "{} waits and shows {}? Then: strandwatch client confirm {}",
                word("client"),
                word("number"),
                word("number")
            ));
        }
        return Ok(Exit::Well);
    };
    let told = put(desk, Ask::Confirm { number }).await?;
    if as_json {
        say(told);
    } else {
        say(format_args!("{} is a client now.", told["client"].as_str().unwrap_or_default()));
    }
    Ok(Exit::Well)
}

pub(super) async fn refuse(desk: &Desk, arguments: Refuse, as_json: bool) -> Outcome {
    let which = arguments.which.to_lowercase();
    let told = put(desk, Ask::Refuse { which }).await?;
    if as_json {
        say(told);
    } else {
        say("The invitation is gone.");
    }
    Ok(Exit::Well)
}
