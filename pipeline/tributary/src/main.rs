//! The `tributary` program. Everything is in the library, so that tests can use it.

use std::process::ExitCode;

use tributary::flows::FLOWS;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tributary::main(FLOWS)
}
