//! The only unsafe native code: run-time dispatch and vector kernels.
