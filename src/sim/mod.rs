//! A printer that is not there: for `demo` and for tests.

pub mod scene;
