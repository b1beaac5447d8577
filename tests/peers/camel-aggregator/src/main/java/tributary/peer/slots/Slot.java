package tributary.peer.slots;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;

/** A booked time. */
@XmlType(name = "TimeslotType", propOrder = {"start", "end", "facility", "performer", "bookingId", "patient", "purpose",
    "reason", "resourceName", "facilityName", "performerName", "resourceID", "timeTypeName", "timeTypeID",
    "careTypeName", "careTypeID", "mayCancel", "mayRebook", "mayWrite"})
public class Slot {
    @XmlElement(name = "startTimeInclusive")
    public String start;

    @XmlElement(name = "endTimeExclusive")
    public String end;

    @XmlElement(name = "healthcare_facility", required = true)
    public String facility;

    public String performer;
    public String bookingId;

    @XmlElement(name = "subject_of_care")
    public String patient;

    public String purpose;
    public String reason;
    public String resourceName;

    @XmlElement(name = "healthcare_facility_name")
    public String facilityName;

    public String performerName;
    public String resourceID;
    public String timeTypeName;
    public String timeTypeID;
    public String careTypeName;
    public String careTypeID;

    @XmlElement(name = "cancel_booking_allowed")
    public Boolean mayCancel;

    @XmlElement(name = "rebooking_allowed")
    public Boolean mayRebook;

    @XmlElement(name = "message_allowed")
    public Boolean mayWrite;
}
