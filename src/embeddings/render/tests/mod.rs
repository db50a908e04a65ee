//! Every form of every fixture.
