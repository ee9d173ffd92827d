"""Replaying a trace of requests through planner and scaling on a discrete-event model of engine replicas."""
