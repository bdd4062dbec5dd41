use super::wire::Refusal;

/// What went wrong with a Moonraker. The text continues `printer <name>: Moonraker at <address> …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MoonrakerFault {
    /// No connection could be made.
    #[error(
        "cannot be reached: {why}. Check that Moonraker runs and that `moonraker` in the configuration is its address"
    )]
    Unreachable {
        /// The system's words.
        why: String,
    },
    /// The login was refused.
    #[error(
        "refused the login ({why}). Put Moonraker's API key as `api_key` of this printer into the secrets file (Moonraker \
         shows it in Mainsail or Fluidd under the user menu, or by `access.get_api_key`), or let Moonraker trust this host \
         under [authorization] trusted_clients"
    )]
    LoginRefused {
        /// Whether a key was sent, and Moonraker's words.
        why: String,
    },
    /// Another client is registered as the agent of our name.
    #[error("has another agent named {name} connected")]
    AgentTaken {
        /// The name.
        name: &'static str,
    },
    /// Nothing came for too long, although something was asked.
    #[error(
        "has been silent for {seconds} s: the host, the network or Moonraker hangs; reconnecting"
    )]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// The connection ended.
    #[error("closed the connection: {why}; reconnecting")]
    Lost {
        /// The peer's or the system's words.
        why: String,
    },
    /// The connection ended while a request was outstanding.
    #[error(
        "was lost before it answered {method}: whether it was done will show in the printer's state"
    )]
    LostMeanwhile {
        /// Which request.
        method: &'static str,
    },
    /// No answer in time.
    #[error(
        "has not answered {method} within {seconds} s: whether it was done will show in the printer's state"
    )]
    Unanswered {
        /// Which request.
        method: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// Moonraker, or Klippy behind it, answered with an error.
    #[error("refused {method}: {refusal}")]
    Refused {
        /// Which request.
        method: &'static str,
        /// Its words.
        refusal: Refusal,
    },
    /// More came than could be taken in.
    #[error("sent {what}; reconnecting")]
    TooMuch {
        /// What was too much.
        what: &'static str,
    },
    /// The printer cannot show anything of ours.
    #[error(
        "has no macros of Strandwatch: include klipper/strandwatch.cfg in printer.cfg for messages and dialogs there"
    )]
    NoMacros,
    /// A button whose macro call could be other G-code.
    #[error("was not asked to show a dialog: the button {label:?} would run {what:?}")]
    BadButton {
        /// What stands on the button.
        label: String,
        /// What is wrong with its call.
        what: String,
    },
    /// An object's name that must not become part of a G-code line, or that the print does not have.
    #[error("was not asked to exclude an object: {why}")]
    BadObject {
        /// What is wrong with it.
        why: String,
    },
}
