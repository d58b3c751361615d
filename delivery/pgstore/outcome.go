package pgstore

// States in the table of outcomes, whose data rowcodec.AppendOutcome writes and
// rowcodec.Outcome reads.
const (
	stateDelivered = 1
	stateDead      = 2
	stateMarker    = 3 // an event nobody subscribed to
)
