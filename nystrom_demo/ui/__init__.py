"""The app's page: one state (state.py), a sidebar, one file a tab, and one view a task."""
