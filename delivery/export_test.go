package delivery

// RetryAfter is the parser of the header.
var RetryAfter = retryAfter
