//! The program with the toy flow alone.

use std::process::ExitCode;

use tributary::flows::Flows;
use tributary_tests::toy::Toy;

fn main() -> ExitCode {
    tributary::main(Flows(&[&Toy]))
}
