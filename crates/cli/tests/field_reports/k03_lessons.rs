//! K3: what a refusal teaches is about what it names.
