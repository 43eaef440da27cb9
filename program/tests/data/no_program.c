// Nothing but a function whose section says nothing.
int lonely(void *ctx) { return 0; }
