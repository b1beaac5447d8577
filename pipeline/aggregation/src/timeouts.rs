//! Three times that must be in order, so that each outer one can still report the inner one (A 4.1).

use std::time::Duration;

use crate::descriptor::Descriptor;

/// The times of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    service: Duration,
    aggregate: Duration,
    aggregated_service: Duration,
}

/// Two times are in the wrong order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected {lower} = {lower_ms} to be less than {upper} = {upper_ms}: aggregated_service_timeout_ms > \
     aggregate_timeout_ms > service_timeout_ms"
)]
pub struct TimeoutOrder {
    lower: &'static str,
    lower_ms: u128,
    upper: &'static str,
    upper_ms: u128,
}

impl TimeoutOrder {
    /// The two keys.
    pub fn keys(&self) -> [&'static str; 2] {
        [self.lower, self.upper]
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let [service, aggregate, aggregated_service] = [4000, 4500, 5000].map(Duration::from_millis);
        Self { service, aggregate, aggregated_service }
    }
}

impl Timeouts {
    /// Takes times in their order.
    ///
    /// # Errors
    /// [`TimeoutOrder`] names both keys, if one is not less than the next.
    pub fn new(service: Duration, aggregate: Duration, aggregated_service: Duration) -> Result<Self, TimeoutOrder> {
        let (inner, middle, outer) = ("service_timeout_ms", "aggregate_timeout_ms", "aggregated_service_timeout_ms");
        for (lower, less, upper, more) in
            [(inner, service, middle, aggregate), (middle, aggregate, outer, aggregated_service)]
        {
            if less >= more {
                return Err(TimeoutOrder { lower, lower_ms: less.as_millis(), upper, upper_ms: more.as_millis() });
            }
        }
        Ok(Self { service, aggregate, aggregated_service })
    }

    /// These times, with those of a descriptor over them.
    ///
    /// # Errors
    /// [`TimeoutOrder`] names both keys, if one is not less than the next.
    pub fn of(&self, descriptor: &Descriptor) -> Result<Self, TimeoutOrder> {
        Self::new(
            descriptor.service_timeout.unwrap_or(self.service),
            descriptor.aggregate_timeout.unwrap_or(self.aggregate),
            descriptor.aggregated_service_timeout.unwrap_or(self.aggregated_service),
        )
    }

    /// From when a call is due to the last byte of its answer.
    pub fn service(&self) -> Duration {
        self.service
    }

    /// From the arrival of a question to its answer with what has come.
    pub fn aggregate(&self) -> Duration {
        self.aggregate
    }

    /// From the arrival of a question to its failure.
    pub fn aggregated_service(&self) -> Duration {
        self.aggregated_service
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_is_refused_with_both_keys() {
        let of = |times: [u64; 3]| {
            let [service, aggregate, total] = times.map(Duration::from_millis);
            Timeouts::new(service, aggregate, total)
        };
        assert_eq!(of([4000, 4500, 5000]), Ok(Timeouts::default()));
        let error = of([4500, 4500, 5000]).unwrap_err().to_string();
        assert!(error.starts_with("expected service_timeout_ms = 4500 to be less than aggregate_timeout_ms = 4500"));
        let error = of([1, 6000, 5000]).unwrap_err().to_string();
        let expected = "expected aggregate_timeout_ms = 6000 to be less than aggregated_service_timeout_ms = 5000";
        assert!(error.starts_with(expected), "{error}");
    }
}
