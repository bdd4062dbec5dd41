//! What changes for Home Assistant: what is to be announced against what was announced before.
//!
//! Home Assistant keeps an entity that is missing from a later document. It goes when its key is there with nothing but
//! its kind; so what was ever announced stays in the document as such a stub, and Home Assistant may have been away when
//! that changed. A whole device goes with an empty message, which Home Assistant complains of when it does not know the
//! device: that is sent once.

use std::collections::BTreeMap;

use serde_json::json;

use super::discovery::Device;

/// What was announced: by topic the kind of every entity by its key.
pub type Record = BTreeMap<String, BTreeMap<String, String>>;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Announce a device; its entities are to be recorded before.
    Announce(Device),
    /// Take back a device, then forget it.
    Retract {
        /// Where it was announced.
        topic: String,
    },
}

/// The steps from what was announced to what is.
pub fn plan(announced: &Record, devices: &[Device]) -> Vec<Step> {
    let gone =
        announced.keys().filter(|topic| devices.iter().all(|device| device.topic != **topic));
    let retract: Vec<Step> = gone.map(|topic| Step::Retract { topic: topic.clone() }).collect();
    let announce = devices.iter().map(|device| {
        let mut device = device.clone();
        for (key, kind) in announced.get(&device.topic).into_iter().flatten() {
            if !device.entities.contains_key(key) {
                device.document["cmps"][key] = json!({ "p": kind });
                device.entities.insert(key.clone(), kind.clone());
            }
        }
        Step::Announce(device)
    });
    announce.chain(retract).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(topic: &str, entities: &[(&str, &str)]) -> Device {
        let cmps = entities.iter().map(|(key, kind)| {
            (key.to_string(), json!({ "p": kind, "unique_id": format!("id_{key}") }))
        });
        Device {
            topic: topic.to_owned(),
            document: json!({ "cmps": cmps.collect::<serde_json::Map<_, _>>() }),
            entities: entities.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        }
    }

    fn record(steps: &[Step]) -> Record {
        let announced = steps.iter().filter_map(|step| match step {
            Step::Announce(device) => Some((device.topic.clone(), device.entities.clone())),
            Step::Retract { .. } => None,
        });
        announced.collect()
    }

    #[test]
    fn at_first_everything_is_announced_as_it_is() {
        let devices = vec![device("a", &[("sensor_x", "sensor")])];
        let steps = plan(&Record::new(), &devices);
        assert_eq!(steps, [Step::Announce(devices[0].clone())]);
    }

    #[test]
    fn an_entity_that_is_gone_stays_as_a_stub_for_good_and_may_come_back() {
        let both = device("a", &[("sensor_x", "sensor"), ("switch_y", "switch")]);
        let one = device("a", &[("sensor_x", "sensor")]);
        let mut announced = record(&plan(&Record::new(), std::slice::from_ref(&both)));
        for _ in 0..2 {
            let steps = plan(&announced, std::slice::from_ref(&one));
            let [Step::Announce(device)] = &steps[..] else { panic!("{steps:?}") };
            assert_eq!(device.document["cmps"]["switch_y"], json!({ "p": "switch" }));
            assert_eq!(device.document["cmps"]["sensor_x"]["unique_id"], "id_sensor_x");
            announced = record(&steps);
        }
        assert_eq!(plan(&announced, std::slice::from_ref(&both)), [Step::Announce(both)]);
    }

    #[test]
    fn a_device_that_is_gone_is_taken_back() {
        let announced = record(&plan(&Record::new(), &[device("old", &[("sensor_x", "sensor")])]));
        let new = device("new", &[("sensor_x", "sensor")]);
        let steps = plan(&announced, std::slice::from_ref(&new));
        assert_eq!(steps, [Step::Announce(new), Step::Retract { topic: "old".to_owned() }]);
    }
}
