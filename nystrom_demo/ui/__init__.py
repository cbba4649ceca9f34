"""The app's views: a shared bench (text, checkpoint, landmarks) and one file a tab."""
