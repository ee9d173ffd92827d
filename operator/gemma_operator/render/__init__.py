"""Spec and plan → Kubernetes objects. Pure: the same input gives the same objects, byte for byte."""
