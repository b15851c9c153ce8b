"""The studies, one a file, each under the name STUDY."""
