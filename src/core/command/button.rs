//! Commands as Home Assistant shows them.

/// A command as a button of Home Assistant.
#[derive(Debug)]
pub struct Button {
    /// What stands on it.
    pub label: &'static str,
    /// A Material Design icon.
    pub icon: &'static str,
    /// The arguments that it sends.
    pub args: &'static [(&'static str, u32)],
    /// Whether it is there from the start; else people enable it in Home Assistant first.
    pub enabled: bool,
}

impl Button {
    pub(super) const fn new(label: &'static str, icon: &'static str) -> Self {
        Self { label, icon, args: &[], enabled: true }
    }
}
