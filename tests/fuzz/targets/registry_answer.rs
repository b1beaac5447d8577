//! Any bytes as an answer of a register: it is found, empty or a failure, whose code holds nothing of the number. What
//! is found can be kept, read back, and mapped.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tributary_flow::configuration::Source;
use tributary_registry::call_answer::{Asked, HttpAnswer, Outcome, Received, retry_after};
use tributary_registry::configuration::RegistrySettings;
use tributary_registry::number::Number;
use tributary_schemas::types::registry::CallId;

const NUMBER: &str = "19910824-00026";

const ID: &str = "0ca5e000-0000-4000-8000-000000000007";

static SETTINGS: LazyLock<RegistrySettings> = LazyLock::new(|| {
    let text = include_str!("../../../deploy/registry-tax.toml");
    RegistrySettings::load(Some(&Source::new("registry-tax.toml", text))).expect("the example is right")
});

fuzz_target!(|bytes: &[u8]| {
    let [status, body @ ..] = bytes else { return };
    let status = [200, 202, 302, 404, 429, 500, 503][usize::from(*status) % 7];
    let (number, id): (_, CallId) = (Number::new(NUMBER), ID.parse().expect("it is a UUID"));
    let wait = str::from_utf8(body).ok().and_then(|text| retry_after(text, 0));
    assert!(wait.is_none_or(|wait| wait >= 0), "a wait does not go back");
    for kind in SETTINGS.kinds.values() {
        let answer = HttpAnswer { status, body: Some(body.to_vec()), retry_after: wait };
        let asked = Asked { kind, trembita: &SETTINGS.trembita, number: &number, id };
        match asked.outcome(Received::Answer(answer)) {
            Outcome::Found(info) => {
                let kept = info.to_string();
                let read: serde_json::Value = serde_json::from_str(&kept).expect("what is kept can be read");
                assert_eq!(info, read, "it is the same");
                let _ = kind.answer.map(&info);
            }
            Outcome::Empty => {}
            Outcome::Failed(failure) => {
                let shown = format!("{failure:?}");
                assert!(!shown.contains(NUMBER), "no failure shows the number");
                assert!(failure.code.as_str().len() <= 64);
            }
        }
    }
});
