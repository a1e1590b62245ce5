// Tests look at the children of this process and measure no time, but two cores do not carry several platforms at once.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
