//! No number and no name leaves the rows in the clear.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use tributary_harness::service::Service;
use tributary_registry_sample::{Answer, Register, person};

use crate::world::{NUMBER, World, configuration, folder, run_in};

/// A text, and the forms in which it would still be recognised: Base64 at each place, hexadecimal digits, and a hash
/// without a key.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let hash = Sha256::digest(text.as_bytes());
    let mut forms = vec![
        text.as_bytes().to_vec(),
        hex(text.as_bytes()).into_bytes(),
        hex(text.as_bytes()).to_uppercase().into_bytes(),
        hash.to_vec(),
        hex(&hash).into_bytes(),
        BASE64_STANDARD.encode(hash).into_bytes(),
    ];
    for before in 0..3 {
        let encoded = BASE64_STANDARD.encode(["x".repeat(before).as_bytes(), text.as_bytes()].concat());
        // Letters at the ends depend on what stands beside the text.
        let inner: String = encoded.trim_end_matches('=').chars().skip(before + 1).collect();
        forms.push(inner.as_bytes()[..inner.len() - 2].to_vec());
    }
    forms
}

fn check(place: &str, content: &[u8], forbidden: &[(String, Vec<Vec<u8>>)]) {
    for (text, forms) in forbidden {
        for form in forms {
            let found = content.windows(form.len()).any(|window| window == form.as_slice());
            assert!(!found, "{place} shows {text} as {:?}", String::from_utf8_lossy(form));
        }
    }
}

fn check_folder(folder: &Path, forbidden: &[(String, Vec<Vec<u8>>)]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += check_folder(&path, forbidden);
        } else {
            check(&path.display().to_string(), &std::fs::read(&path).unwrap(), forbidden);
            count += 1;
        }
    }
    count
}

/// Logs at their most talkative level, state, topics, metrics and errors hold no number and no name, in no form.
#[tokio::test]
async fn no_personal_data() {
    let register = Register::start(None).await.unwrap();
    let folder = folder(&configuration(&register, "", ""));
    let mut command: Command = run_in(&folder, &["--log", "embedded"]);
    command.env("RUST_LOG", "trace").env("TRIBUTARY_LOG", "trace");
    let mut process = Service::start(&mut command);
    let url = process.ready();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut world = World { process, url, client, folder, register };
    let found = world.sync(NUMBER, Some(20)).await;
    let name = found["info"]["firstName"].as_str().unwrap().to_owned();
    assert!(person(NUMBER).contains(&name));
    let refused = "19910824-00031";
    world.register.set(refused, Answer::Fault(500, format!("Client.{refused}"), Some(refused.to_owned())));
    world.sync(refused, None).await;
    world.row_with(refused, "failed").await;
    // Wrong inputs, and a number in an address.
    let wrong = "19910824-77777";
    let document =
        format!("mutation {{ syncUnzrInfoRegister(input: {{unzr: \"{wrong}x\"}}) {{ unzrInfo {{ id }} }} }}");
    let errors = world.graphql(&document, serde_json::json!({}), None).await.to_string();
    let address = world.client.get(format!("{}/graphql?unzr={wrong}", world.url)).send().await.unwrap();
    let errors = format!("{errors}{}", address.text().await.unwrap());
    let address = world.client.get(format!("{}/{wrong}", world.url)).send().await.unwrap();
    let errors = format!("{errors}{}", address.text().await.unwrap());
    let texts = [NUMBER, refused, wrong, name.as_str(), found["info"]["documents"]["number"].as_str().unwrap()];
    let forbidden: Vec<(String, Vec<Vec<u8>>)> = texts.iter().map(|text| ((*text).to_owned(), forms(text))).collect();
    check("metrics", world.metrics().await.as_bytes(), &forbidden);
    check("errors", errors.as_bytes(), &forbidden);
    check("logs", world.process.said().as_bytes(), &forbidden);
    let (code, said) = world.process.end();
    assert_eq!(code, Some(0));
    check("logs", said.as_bytes(), &forbidden);
    assert!(check_folder(&world.folder.path().join("state"), &forbidden) > 3);
}
