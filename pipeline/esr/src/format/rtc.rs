//! Rows of an RTC, the confirmation of one RMF or RMC (3.4, D53).
