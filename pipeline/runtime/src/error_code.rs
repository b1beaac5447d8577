//! The stable names of errors: for logs, metrics and whoever acts on an error without reading its text.

/// Declares each code once, and the list of all.
macro_rules! codes {
    ($($(#[$doc:meta])+ $name:ident = $code:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $code;)+

        /// All codes of this crate.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

codes! {
    /// The transaction was aborted; its records are processed again.
    TRANSACTION_ABORTED = "transaction-aborted";
    /// The log does not answer or is not ready.
    LOG_UNAVAILABLE = "log-unavailable";
    /// Another producer has taken over the transactional id.
    PRODUCER_FENCED = "producer-fenced";
    /// The requested offsets are not in the log.
    OFFSET_OUT_OF_RANGE = "offset-out-of-range";
    /// Records of a changelog were deleted.
    CHANGELOG_TRUNCATED = "changelog-truncated";
    /// The log failed, and only an operator can help.
    LOG_FAILED = "log-failed";
    /// Another process uses the instance name of this one.
    INSTANCE_NAME_TAKEN = "instance-name-taken";
    /// A processor stopped the process, because to go on would do harm.
    STAGE_STOPPED = "stage-stopped";
    /// State could not be written or read.
    STATE_INVALID = "state-invalid";
    /// A table of state cannot be read or written now.
    TABLE_UNAVAILABLE = "table-unavailable";
    /// State cannot be restored, because records of its changelog were deleted.
    STATE_LOST = "state-lost";
    /// The offsets of an inbox do not fit the state of its stage, or its next record is gone.
    OFFSETS_DO_NOT_FIT = "offsets-do-not-fit";
    /// A worker panicked.
    WORKER_PANICKED = "worker-panicked";
    /// A snapshot file could not be written, read or used.
    SNAPSHOT_NOT_USED = "snapshot-not-used";
    /// A processor cannot do without something outside that does not answer; the record is tried again.
    RECORD_RETRIED = "record-retried";
    /// A record came for a partition that this worker does not have.
    UNEXPECTED_RECORD = "unexpected-record";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::LogError;

    #[test]
    fn codes_are_distinct_and_in_kebab_case() {
        assert_eq!(ALL.iter().collect::<HashSet<_>>().len(), ALL.len());
        let is_kebab = |code: &str| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(ALL.iter().all(|code| is_kebab(code)));
    }

    #[test]
    fn each_kind_of_log_error_has_a_code_of_its_own() {
        type Constructor = fn(&'static str) -> LogError;
        let kinds: [Constructor; 6] = [
            LogError::abortable,
            LogError::unavailable,
            LogError::fenced,
            LogError::offset_out_of_range,
            LogError::truncated,
            LogError::fatal,
        ];
        let codes: HashSet<&str> = kinds.iter().map(|kind| kind("test").code()).collect();
        assert_eq!(codes.len(), kinds.len());
        assert!(codes.iter().all(|code| ALL.contains(code)));
    }
}
