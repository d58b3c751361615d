package inbox

import "net/http"

// Encode and Decode are the stored form of a request.
func Encode(r *http.Request, body []byte) ([]byte, error) {
	head, err := encodeHead(r, nil)
	return append(head, body...), err
}

func Decode(data []byte) (target string, header http.Header, body []byte, err error) {
	h, body, err := decode(data)
	return h.target, h.header, body, err
}
