"""Where the parts of an upload go before they are an artifact. Door: `destination.current_transfer`."""
