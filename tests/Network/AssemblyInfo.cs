// Sandboxes, namespaces and their peers want the processors for themselves.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
