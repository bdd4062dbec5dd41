//! `strandwatch client`: who may ask for what, and how each proves who it is.

mod credential;
mod desk;
mod invite;
mod list;
mod log;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use self::credential::Credential;
use self::desk::Desk;
use super::output::say;
use super::{Exit, OrExit, Outcome};
use crate::app::clients::{Client, key};
use crate::core::authz::Grant;
use crate::core::types::Name;
use crate::ports::Store;

/// Arguments of `strandwatch client`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The configuration file [default: ~/printer_data/config/strandwatch.toml, then /etc/strandwatch/strandwatch.toml]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    /// Print JSON instead
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Add a client with a credential of its own; its secret is shown once
    Add(AddArguments),
    /// List every client with its rights
    List,
    /// Remove a client: its rights, its credential, and its connection at once
    Rm(NameArgument),
    /// Give a client a new secret and keep its rights; the old one ends at once
    Rotate(NameArgument),
    /// Invite a newcomer: a code that works once, and for some minutes
    Invite(invite::Arguments),
    /// Let the newcomer in that shows this number; without one, show who waits
    Confirm(invite::Confirm),
    /// Refuse the newcomer that shows this number, or withdraw an invitation by the first part of its code
    Refuse(invite::Refuse),
    /// Show what clients asked for, and what became of it
    Log(log::Arguments),
}

#[derive(clap::Args)]
struct AddArguments {
    #[command(flatten)]
    name: NameArgument,
    #[command(flatten)]
    grant: GrantArguments,
}

#[derive(clap::Args)]
struct NameArgument {
    /// The client's name: small letters, digits, `_` and `-`
    name: Name,
}

/// What a client may do, and where.
#[derive(clap::Args)]
struct GrantArguments {
    /// view, vote, pause, resume, cancel, configure; or a preset: observer (view), household (view, vote, pause), owner
    /// (all)
    #[arg(long, value_name = "RIGHTS", value_delimiter = ',', required = true)]
    rights: Vec<String>,
    /// On this printer alone; may be given again [default: every printer]
    #[arg(long = "printer", value_name = "PRINTER")]
    printers: Vec<Name>,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Outcome {
    let (config, json) = (arguments.config.as_deref(), arguments.json);
    if let Command::Log(of) = &arguments.command {
        return log::run(of, config, json);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    runtime.block_on(async {
        let desk = Desk::open(config)?;
        let outcome = match arguments.command {
            Command::Add(add) => self::add(&desk, add, json).await,
            Command::List => list::show(&desk, json).await,
            Command::Rm(NameArgument { name }) => rm(&desk, &name, json).await,
            Command::Rotate(NameArgument { name }) => rotate(&desk, &name, json).await,
            Command::Invite(arguments) => invite::invite(&desk, &arguments, json).await,
            Command::Confirm(arguments) => invite::confirm(&desk, arguments, json).await,
            Command::Refuse(arguments) => invite::refuse(&desk, arguments, json).await,
            Command::Log(_) => Ok(Exit::Well),
        };
        desk.store.close().await;
        outcome
    })
}

async fn add(desk: &Desk, arguments: AddArguments, json: bool) -> Outcome {
    let NameArgument { name } = arguments.name;
    let grant = desk.grant(&arguments.grant.rights, &arguments.grant.printers)?;
    desk.is_free(&name).await?;
    let secret = desk.fresh_secret()?;
    // The rights first: an account that nobody knows is removed when the broker starts.
    desk.remember(&name, &grant).await?;
    if let Err(failure) = desk.give_login(&name, &grant, &secret).await {
        desk.store.remove(key(&name)).await.or_exit(Exit::Internal)?;
        return Err(failure);
    }
    Credential { desk, name: &name, grant: &grant, secret: &secret }.show(json)
}

async fn rotate(desk: &Desk, name: &Name, json: bool) -> Outcome {
    let grant = desk.known(name).await?;
    let secret = desk.fresh_secret()?;
    desk.give_login(name, &grant, &secret).await?;
    Credential { desk, name, grant: &grant, secret: &secret }.show(json)
}

async fn rm(desk: &Desk, name: &Name, json: bool) -> Outcome {
    if desk.config.grants.0.contains_key(name) {
        return Err(anyhow::anyhow!(
            "client {name} stands in the configuration: take its [[mqtt.client]] out there and restart strandwatch"
        ))
        .or_exit(Exit::Usage);
    }
    desk.known(name).await?;
    // The rights first: from now on, or within a second, it is refused whatever becomes of its login.
    desk.store.remove(key(name)).await.or_exit(Exit::Internal)?;
    desk.take_login(name).await?;
    if json {
        say(json!({ "client": name, "removed": true }));
    } else if desk.managed.is_some() {
        say(format_args!("client {name} is removed, and its connection ended."));
    } else {
        say(format_args!(
            "client {name} has no rights any more. Take its line out of the broker's password_file and its section out \
             of the acl_file as well (Home Assistant's add-on: out of `logins`), and reload the broker."
        ));
    }
    Ok(Exit::Well)
}

impl Desk {
    async fn remember(&self, name: &Name, grant: &Grant) -> Result<(), super::Failure> {
        let added_at = jiff::Timestamp::now().as_second();
        let client = Client { grant: grant.clone(), added_at };
        let document = serde_json::to_value(client).or_exit(Exit::Internal)?;
        self.store.put(key(name), document).await.or_exit(Exit::Internal)
    }
}
