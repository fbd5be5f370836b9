//! What this broker does at others, as their client. (Specification 5.9, 6.)

mod dial;
