//! An outage that is over is over for who asks what is left to do.

use std::time::Duration;

use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, TopicPlan};
use tributary_esr::flow::DECLARATION;
use tributary_esr::topics;
use tributary_harness::{Services, fresh_namespace};
use tributary_runtime::{Lag, Output, Producer as _};

use crate::proxy::Proxy;
use crate::{alone, producer};

#[test]
fn what_is_left_to_do_is_known_with_the_first_answer_after_an_outage() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let proxy = Proxy::start(&services.proxied, &services.proxy_target);
    let configuration = KafkaConfiguration::new(&services.proxied, fresh_namespace("outage"), "0");
    TopicPlan::compare(&configuration, &[&topics::SCHEDULE], 1, 1).unwrap().apply().unwrap();
    let mut output = Output::new(1);
    output.send(&topics::SCHEDULE, b"", |buffer| buffer.push(0));
    producer(&configuration).publish(&output).unwrap();
    let lag = KafkaLag::open(&configuration, &[(DECLARATION.name, vec![&topics::SCHEDULE])], 1).unwrap();
    assert_eq!(lag.lag(), Ok(1));
    proxy.refuse(true);
    // Each time the client loses its last connection, it has that to tell.
    for _ in 0..3 {
        proxy.cut();
        std::thread::sleep(Duration::from_secs(1));
    }
    proxy.refuse(false);
    assert_eq!(lag.lag(), Ok(1));
}
