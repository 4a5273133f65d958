package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"onebeat/engine/sbe"
	"onebeat/tools/schema"
)

func newSchema() *cobra.Command {
	var markdown, lua bool
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the SBE schema of the orders, to generate clients from",
		Long: `schema prints the messages that clients and venues exchange with a lane, as an SBE 1.0 schema in XML: what
this program speaks, and generators of other languages read. docs/fixp.md says what the messages mean.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !markdown && !lua {
				_, err := c.OutOrStdout().Write(sbe.Schema)
				return err
			}
			s, err := schema.Parse(sbe.Schema)
			if err != nil {
				return fmt.Errorf("the schema in this program: %w", err)
			}
			if lua {
				return s.WriteLua(c.OutOrStdout())
			}
			return s.WriteMarkdown(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "tables of all messages, byte by byte, instead")
	c.Flags().BoolVar(&lua, "lua", false, "the tables of the Wireshark dissector instead")
	c.MarkFlagsMutuallyExclusive("markdown", "lua")
	return c
}
