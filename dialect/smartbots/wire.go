package smartbots

// Name is the dialect's name in subscriptions, events and
// [github.com/ringback-go/ringback/delivery.Config.Dialects].
const Name = "smartbots"

// The events of a group, as the field action names them.
const (
	ActionGroupChat       = "group_chat"
	ActionCallbackSet     = "callback_set"
	ActionCallbackRemoved = "callback_removed"
)

// Why a registration was removed: the field reason of callback_removed, and
// the Reason of the removed subscription.
const (
	ReasonCodeChanged   = "security_code_changed"
	ReasonRemovedByUser = "removed_by_user"
)

// The documentation of the group API gives the parameters and the text ACCESS
// DENIED. What follows is our own decision and stands here alone.

// contentType of the events; their fields are sorted by name.
const contentType = "application/x-www-form-urlencoded; charset=utf-8"

// alias is another name of the field action that [Decode] understands.
const alias = "event"

// Fields of the events.
const (
	fieldAction      = "action"
	fieldAppUUID     = "app_uuid"
	fieldGroupID     = "group_id"
	fieldGroupName   = "group_name"
	fieldGroupUUID   = "group_uuid"
	fieldMessage     = "message"
	fieldReason      = "reason"
	fieldSpeakerName = "speaker_name"
	fieldSpeakerUUID = "speaker_uuid"
	fieldURL         = "url"
)

// Parameters of the call.
const (
	paramAction     = "action"
	paramAPIKey     = "apikey"
	paramSecret     = "secret"
	paramSecretSHA1 = "secret_sha1"
	paramGroup      = "group"
	paramAppName    = "app_name"
	paramAppUUID    = "app_uuid"
	paramURL        = "url"
)

// callAction is the one call that is served.
const callAction = "set_http_callback"

// parameters of the call in the order in which they are judged. A parameter
// that is given twice is answered by its text.
var parameters = [...]struct{ name, repeated string }{
	{paramAction, textBadParameter + paramAction},
	{paramAPIKey, textAccessDenied},
	{paramSecret, textAccessDenied},
	{paramSecretSHA1, textAccessDenied},
	{paramGroup, textBadParameter + paramGroup},
	{paramAppName, textBadParameter + paramAppName},
	{paramAppUUID, textBadParameter + paramAppUUID},
	{paramURL, textBadParameter + paramURL},
}

// The values of resulttext. Statuses other than 200 have the status's own
// text in capitals.
const (
	textAccessDenied  = "ACCESS DENIED"
	textUnknownAction = "UNKNOWN ACTION"
	textMissing       = "MISSING PARAMETER "
	textBadParameter  = "BAD PARAMETER "
	textBadURL        = "BAD URL "
	textNotAvailable  = "URL NOT AVAILABLE"
)

// Bounds of a call.
const (
	maxCall       = 64 << 10 // bytes of the body, or of the query
	maxParameters = 10_000
	maxAppName    = 100   // characters
	maxURL        = 2_000 // characters
	maxGroupName  = 512   // bytes; no group has a longer one
)

// Meta keys of a subscription.
const (
	metaCode      = "code" // the fingerprint of the code, in hex
	metaGroupUUID = "group_uuid"
	metaGroupName = "group_name"
)

// superseded is why a callback_set is not sent any more.
const superseded = "superseded by a newer registration"
