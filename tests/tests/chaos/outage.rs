//! After an outage, the lag is known again at once.

use std::time::Duration;

use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, TopicPlan};
use tributary_harness::{Services, fresh_namespace};
use tributary_runtime::{Lag, Output, Producer as _};
use tributary_tests::chaos::{Proxy, alone, producer};
use tributary_tests::toy::{DECLARATION, WORDS};

#[test]
fn what_is_left_to_do_is_known_with_the_first_answer_after_an_outage() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let proxy = Proxy::start(&services.proxied, &services.proxy_target);
    let configuration = KafkaConfiguration::new(&services.proxied, fresh_namespace("outage"), "0");
    TopicPlan::compare(&configuration, &[&WORDS], 1, 1).unwrap().apply().unwrap();
    let mut output = Output::new(1);
    output.send(&WORDS, b"", |buffer| buffer.push(0));
    producer(&configuration).publish(&output).unwrap();
    let lag = KafkaLag::open(&configuration, &[(DECLARATION.name, vec![&WORDS])], 1).unwrap();
    assert_eq!(lag.lag(), Ok(1));
    proxy.refuse(true);
    // The client reports each loss of its last connection.
    for _ in 0..3 {
        proxy.cut();
        std::thread::sleep(Duration::from_secs(1));
    }
    proxy.refuse(false);
    assert_eq!(lag.lag(), Ok(1));
}
