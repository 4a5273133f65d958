// Package report writes what drills found, as JSON and as one HTML file without
// anything from elsewhere: a row for each fault with the distribution of its
// outages, all on the same axis.
//
// report.go is the data and the files, histogram.go draws, report.html is the
// page.
package report
