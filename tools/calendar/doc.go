// Package calendar writes events as iCalendar (RFC 5545), for calendars that
// open one event or subscribe to a feed of many. It reads nothing, and knows
// neither Hosts nor HTTP. Start at [Write].
package calendar
