//! placeholder until sim/scene lands
