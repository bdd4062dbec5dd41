//! Who may publish and read what: one table, from which a broker's access rules follow, whichever way they are written.
//!
//! The daemon alone publishes below the base. A client publishes below its own `request/` only, and reads its own
//! responses, what is told of the daemon, and, with the right to view, what is public of its printers.

use std::fmt::Write as _;

use super::topics::Base;
use crate::core::authz::{Grant, Right};
use crate::core::types::Name;

/// What may be done with the topics of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Publish there.
    Publish,
    /// Subscribe there, and be sent what is published.
    Read,
}

/// One permission. Whatever no rule permits is forbidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// To do what.
    pub way: Way,
    /// Where: a topic filter.
    pub filter: String,
}

fn rules(way: Way, filters: impl IntoIterator<Item = String>) -> impl Iterator<Item = Rule> {
    filters.into_iter().map(move |filter| Rule { way, filter })
}

/// The topics that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Strandwatch's own lie below it.
    pub base: Base,
    /// Home Assistant's, if Strandwatch is to appear there.
    pub home: Option<Home>,
}

/// Home Assistant's topics, and which client it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Its name.
    pub client: Name,
    /// The first levels of what the daemon announces to it.
    pub discovery_prefix: String,
    /// Where it says that it has started.
    pub birth_topic: String,
}

impl Access {
    /// The daemon's own: everything below the base, and what it tells Home Assistant.
    pub fn of_daemon(&self) -> Vec<Rule> {
        let mut filters = vec![format!("{}/#", self.base)];
        filters.extend(self.home.iter().map(|home| format!("{}/#", home.discovery_prefix)));
        let birth = self.home.iter().map(|home| home.birth_topic.clone());
        rules(Way::Publish, filters.clone())
            .chain(rules(Way::Read, filters.into_iter().chain(birth)))
            .collect()
    }

    /// A client's. Every command may be *asked*: that the client holds no right to it is the daemon's to say, with a
    /// reason.
    pub fn of_client(&self, client: &Name, grant: &Grant) -> Vec<Rule> {
        let base = &self.base;
        let mut found: Vec<Rule> = rules(Way::Publish, [base.requests_of(client)])
            .chain(rules(Way::Read, [base.response_filter(client)]))
            .chain(rules(Way::Read, base.daemon_filters()))
            .collect();
        if grant.rights.contains(&Right::View) {
            found.extend(rules(Way::Read, base.printer_filters(grant.printers.as_ref())));
        }
        for home in self.home.iter().filter(|home| home.client == *client) {
            found.extend(rules(Way::Publish, [home.birth_topic.clone()]));
            found.extend(rules(Way::Read, [format!("{}/#", home.discovery_prefix)]));
        }
        found
    }
}

/// A user's rules as they stand in the file that Mosquitto's `acl_file` names.
pub fn acl_file(user: &str, rules: &[Rule]) -> String {
    let mut text = format!("user {user}\n");
    for Rule { way, filter } in rules {
        let word = match way {
            Way::Publish => "write",
            Way::Read => "read",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "topic {word} {filter}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn grant(rights: &str, printers: Option<&str>) -> Grant {
        Grant {
            rights: Right::from_word(rights).unwrap().into_iter().collect(),
            printers: printers.map(|name| BTreeSet::from([Name::parse(name).unwrap()])),
        }
    }

    #[test]
    fn a_client_writes_below_its_own_name_and_reads_what_it_may_view() {
        let access = Access { base: Base::parse("sw").unwrap(), home: None };
        let phone = Name::parse("phone").unwrap();
        let lines =
            acl_file("phone", &access.of_client(&phone, &grant("household", Some("voron"))));
        assert_eq!(
            lines,
            "user phone\n\
             topic write sw/client/phone/request/+/+\n\
             topic read sw/client/phone/response/+/+\n\
             topic read sw/status\n\
             topic read sw/health\n\
             topic read sw/voron/availability\n\
             topic read sw/voron/state\n\
             topic read sw/voron/incident\n\
             topic read sw/voron/event\n\
             topic read sw/voron/image/failure\n\
             topic read sw/voron/image/preview\n"
        );
        let blind = access.of_client(&phone, &grant("pause", None));
        assert!(!blind.iter().any(|rule| rule.filter.contains("state")), "no right to view");
    }
}
