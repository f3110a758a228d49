package server

import (
	"strings"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// linked is an event for search engines and other readers of pages: schema.org's
// Event, as https://schema.org/Event and Google's notes on it want it. Who
// organises it is left out: nobody knows more of an owner than an id.
type linked struct {
	Context     string       `json:"@context"`
	Type        string       `json:"@type"`
	ID          string       `json:"@id"`
	URL         string       `json:"url"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	Image       string       `json:"image"`
	Start       string       `json:"startDate"`
	End         string       `json:"endDate,omitempty"`
	Status      string       `json:"eventStatus"`
	Attendance  string       `json:"eventAttendanceMode,omitempty"`
	Location    *linkedPlace `json:"location,omitempty"`
	Free        bool         `json:"isAccessibleForFree"`
	Capacity    int          `json:"maximumAttendeeCapacity,omitempty"`
	Left        *int         `json:"remainingAttendeeCapacity,omitempty"`
	Offers      linkedOffer  `json:"offers"`
}

type linkedPlace struct {
	Type    string `json:"@type"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	URL     string `json:"url,omitempty"`
}

type linkedOffer struct {
	Type         string `json:"@type"`
	URL          string `json:"url"`
	Price        string `json:"price"`
	Currency     string `json:"priceCurrency"`
	Availability string `json:"availability"`
	ValidFrom    string `json:"validFrom"`
}

const schemaOrg = "https://schema.org/"

func linkedEvent(e tools.Event, page, image string) linked {
	out := linked{
		Context: "https://schema.org", Type: "Event", ID: page, URL: page, Name: e.Title, Description: e.Description, Image: image,
		Start: e.StartsAt, End: e.EndsAt, Status: schemaOrg + "EventScheduled", Free: e.Free(), Capacity: e.Capacity, Left: e.SeatsLeft,
		Offers: linkedOffer{Type: "Offer", URL: page, Price: e.Price, Currency: "USD", Availability: schemaOrg + "InStock", ValidFrom: e.CreatedAt},
	}
	switch store.Status(e.Status) {
	case store.StatusCancelled:
		out.Status, out.Offers.Availability = schemaOrg+"EventCancelled", schemaOrg+"Discontinued"
	case store.StatusPast:
		out.Offers.Availability = schemaOrg + "Discontinued"
	case store.StatusFull:
		out.Offers.Availability = schemaOrg + "SoldOut"
	}
	switch {
	case strings.HasPrefix(e.Location, "https://") || strings.HasPrefix(e.Location, "http://"):
		out.Attendance, out.Location = schemaOrg+"OnlineEventAttendanceMode", &linkedPlace{Type: "VirtualLocation", URL: e.Location}
	case e.Location != "":
		out.Attendance, out.Location = schemaOrg+"OfflineEventAttendanceMode", &linkedPlace{Type: "Place", Name: e.Location, Address: e.Location}
	}
	return out
}
