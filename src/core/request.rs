//! Requests at the door: what must hold before a command is even looked at. Doubt refuses.

use std::collections::{BTreeMap, VecDeque};

use super::authz::{Grants, Principal};
use super::command::{Command, CommandRow, FRESHNESS_S, Request, id_of, parse, row, shorten};
use super::contract::ReplyBody;
use super::limit::REQUESTS;
use super::print::Job;
use super::types::{Name, Now};

/// How many request ids are remembered for each client.
const IDS_KEPT: usize = 256;

// No client can use up its remembered ids while the first of them is still fresh.
const _: () = assert!(
    REQUESTS.burst as u64 + 2 * FRESHNESS_S as u64 * 1_000 / REQUESTS.every_ms < IDS_KEPT as u64
);

/// The ids each client has used: a command takes effect at most once, over restarts too.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    used: BTreeMap<Name, VecDeque<String>>,
}

impl Ledger {
    /// The ledger as an earlier run left it.
    pub fn new(answered: BTreeMap<Name, Vec<String>>) -> Self {
        Self { used: answered.into_iter().map(|(client, ids)| (client, ids.into())).collect() }
    }

    /// Whether the client has used this id.
    pub fn knows(&self, client: &Name, id: &str) -> bool {
        self.used.get(client).is_some_and(|ids| ids.iter().any(|used| used == id))
    }

    /// Notes an id; returns every id kept for the client.
    pub fn note(&mut self, client: &Name, id: &str) -> Vec<String> {
        let ids = self.used.entry(client.clone()).or_default();
        while ids.len() >= IDS_KEPT {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
        ids.iter().cloned().collect()
    }
}

/// A request as it came.
pub struct Knock<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The topic's printer level.
    pub printer: &'a str,
    /// The topic's command level.
    pub command: &'a str,
    /// Whether the broker had retained it.
    pub retained: bool,
    /// Its body.
    pub payload: &'a [u8],
}

/// What the door knows.
pub struct Door<'a> {
    /// Why the command plane is closed, if it is.
    pub closed: Option<&'a str>,
    /// Whether this request is within its client's limit.
    pub within_limit: bool,
    /// Who may do what.
    pub grants: &'a Grants,
    /// Ids used before.
    pub ledger: &'a Ledger,
}

/// The printer that a request names, as it stands.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Which.
    pub name: &'a Name,
    /// The job, if one is on.
    pub job: Option<&'a Job>,
    /// The open incident's id, if there is one.
    pub incident: Option<&'a str>,
    /// The id of the one that has cleared and may still be answered.
    pub unanswered: Option<&'a str>,
}

/// A request that may be carried out.
pub struct Admitted {
    /// The printer it names.
    pub printer: Name,
    /// The command's row.
    pub row: &'static CommandRow,
    /// The request.
    pub request: Request,
}

impl Door<'_> {
    /// Lets a request in, or says why not. `printer` is the printer it names, if there is one by that name.
    pub fn admit(
        &self,
        now: Now,
        knock: &Knock<'_>,
        printer: Option<Target<'_>>,
    ) -> Result<Admitted, ReplyBody> {
        // The id is only for the answer: whoever is refused for any reason should be able to match it.
        let id = id_of(knock.payload);
        let no = |reason: String| Err(ReplyBody::refused(id.clone(), reason));
        if !self.within_limit {
            return no(format!(
                "too many requests: {} at once and one each {} s are allowed",
                REQUESTS.burst,
                REQUESTS.every_ms / 1_000
            ));
        }
        // What closes the plane is doubt about the bus; the console does not come over it.
        if let Some(why) = self.closed.filter(|_| !knock.principal.is_console()) {
            return no(format!("command plane closed: {why}"));
        }
        if knock.retained {
            return no("the request was retained: publish requests without the retain flag".into());
        }
        let Some(row) = row(knock.command) else {
            return no(format!("there is no command {:?}", shorten(knock.command)));
        };
        let Some(target) = printer else {
            return no(format!("there is no printer {:?} here", shorten(knock.printer)));
        };
        if let Err(denied) = self.grants.allow(knock.principal, row.right, target.name) {
            return no(denied.to_string());
        }
        let request = parse(row, knock.payload)
            .and_then(|request| {
                request.check_topic(knock.principal.name(), target.name, row)?;
                Ok(request)
            })
            .map_err(|bad| ReplyBody::refused(id.clone(), format!("malformed: {}", bad.reason)))?;
        if self.ledger.knows(knock.principal.name(), &request.id) {
            return no(format!("replayed: the id {:?} was used before", request.id));
        }
        fresh(now, &request, target)
            .map_err(|reason| ReplyBody::refused(Some(request.id.clone()), reason))?;
        Ok(Admitted { printer: target.name.clone(), row, request })
    }
}

fn fresh(now: Now, request: &Request, target: Target<'_>) -> Result<(), String> {
    let job = target.job;
    if let Some(issued_at) = request.issued_at {
        let age_s = now.unix_ms as f64 / 1000.0 - issued_at;
        if age_s.abs() > FRESHNESS_S {
            return Err(format!(
                "stale: issued {age_s:.0} s ago by the printer host's clock, {FRESHNESS_S} s are allowed; \
                 are both clocks right?"
            ));
        }
        // A whole second of grace, as clients send whole seconds.
        if job.is_some_and(|job| issued_at + 1.0 < job.started_unix_ms as f64 / 1000.0) {
            return Err("stale: issued before this job began".to_owned());
        }
    }
    let answers = matches!(request.command, Command::Confirm | Command::Dismiss);
    let meant = [target.incident, target.unanswered.filter(|_| answers)];
    if let Some(wanted) = &request.incident
        && !meant.contains(&Some(wanted.as_str()))
    {
        return Err(format!("that incident ({}) is over", shorten(wanted)));
    }
    match (&request.job, job) {
        (Some(wanted), Some(job)) if *wanted != job.id => {
            Err(format!("wrong job: meant for {wanted:?}, now is {:?}", job.id))
        }
        (Some(wanted), None) => Err(format!("wrong job: meant for {wanted:?}, now there is none")),
        (Some(_), Some(_)) | (None, _) => Ok(()),
    }
}
